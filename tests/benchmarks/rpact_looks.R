# Trials per second of rpact's getSimulationRates: one arm, looks at 64 and 128 patients, O'Brien-Fleming spending.
# Usage: Rscript rpact_looks.R ITERATIONS REPEATS; prints one figure a line.
suppressMessages(library(rpact))
arguments <- as.integer(commandArgs(trailingOnly = TRUE))
design <- getDesignGroupSequential(kMax = 2, alpha = 0.025, sided = 1, typeOfDesign = "asOF", informationRates = c(0.5, 1))
for (i in seq_len(arguments[2])) {
  seconds <- system.time(getSimulationRates(
    design, groups = 1, thetaH0 = 0.5, pi1 = 0.65, normalApproximation = TRUE, plannedSubjects = c(64, 128),
    maxNumberOfIterations = arguments[1], seed = i
  ))[["elapsed"]]
  cat(arguments[1] / seconds, "\n")
}
