"""Hypothesis profiles: `ci` by default, `intense` with HYPOTHESIS_PROFILE=intense."""

import os

import hypothesis

hypothesis.settings.register_profile("ci", max_examples=30, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("intense", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
