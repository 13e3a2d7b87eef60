"""A scenario and a study -> everything that a simulation needs: plan, numbers, worlds."""
