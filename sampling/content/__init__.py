"""What a bounded sample of a data product's objects shows about its columns. No value leaves this package."""
