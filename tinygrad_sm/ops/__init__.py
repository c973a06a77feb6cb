"""The operations, each with its gradient rules directly under it; the forms that need no rule stand in `composed`."""
