"""What is only fast: nothing here is needed to understand the framework, or for its results."""
