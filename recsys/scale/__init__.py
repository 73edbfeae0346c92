"""Work on several processes or machines: adapters to a distributed engine; the work is that of one process."""
