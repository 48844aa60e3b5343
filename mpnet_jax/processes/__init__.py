"""Several processes that train as one: how they meet, stop together and notice a lost one."""
