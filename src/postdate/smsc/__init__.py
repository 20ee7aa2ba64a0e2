"""An SMSC for tests and for users without a carrier: the simulated carrier behind SMPP."""
