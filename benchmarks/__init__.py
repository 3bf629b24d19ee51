"""How fast Fotograma is beside what people use instead, and beside what the machine allows: `just bench`."""
