"""Input of every kind, made at random: what is no scenario, study or data is refused in one line, and the rest works.

python -m tests.fuzz                       # 5,000 of each kind; writes results/fuzz-<kind>.json
python -m tests.fuzz.kills                 # 100 runs, fits and replications killed
"""
