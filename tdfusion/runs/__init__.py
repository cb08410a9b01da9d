"""What makes a run one that can be stopped, resumed, shared and traced; nothing here knows the paper."""
