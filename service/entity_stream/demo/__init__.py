"""The whole line on one machine: a broker in this process, the engine with a model trained here, the service."""
