"""One file a topic: the cases of its components, their budgets and the mistakes people make."""
