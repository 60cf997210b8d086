"""MMEngine hooks, one idea each. Import the module of a hook, or `vision_research.engine.registered` for all."""
