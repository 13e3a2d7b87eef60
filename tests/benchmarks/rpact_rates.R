# Trials per second of rpact's getSimulationRates: one arm, 128 patients, one look, normal approximation.
# Usage: Rscript rpact_rates.R ITERATIONS REPEATS; prints one figure a line.
suppressMessages(library(rpact))
arguments <- as.integer(commandArgs(trailingOnly = TRUE))
for (i in seq_len(arguments[2])) {
  seconds <- system.time(getSimulationRates(
    groups = 1, thetaH0 = 0.5, pi1 = 0.65, normalApproximation = TRUE, plannedSubjects = 128,
    maxNumberOfIterations = arguments[1], seed = i
  ))[["elapsed"]]
  cat(arguments[1] / seconds, "\n")
}
