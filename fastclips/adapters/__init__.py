"""Layer H: loaders in the form that a framework expects, without engine logic."""
