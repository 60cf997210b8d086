"""What the commands share: the steps of the flow in their order. Holds no step's own logic."""
