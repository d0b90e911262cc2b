"""The math core and the laboratory bench that every level stands on. Imports NumPy, never a level."""
