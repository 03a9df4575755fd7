"""Other job systems, each with a driver program that speaks the protocol in `benchmarks.drivers`."""
