# Trials per second of a time-to-event design of 128 patients: rpact's getSimulationSurvival (two arms, one look), and
# the median with its limits by R's survfit, trial after trial.
# Usage: Rscript survival_peers.R ITERATIONS REPEATS; prints "rpact survfit" a line.
suppressMessages(library(rpact))
suppressMessages(library(survival))
arguments <- as.integer(commandArgs(trailingOnly = TRUE))
for (i in seq_len(arguments[2])) {
  rpact <- system.time(getSimulationSurvival(
    median1 = 8.8, median2 = 4, plannedEvents = 88, maxNumberOfSubjects = 128, accrualTime = c(0, 11),
    directionUpper = FALSE, maxNumberOfIterations = arguments[1], seed = i
  ))[["elapsed"]]
  set.seed(i)
  fits <- 200
  survfit <- system.time(for (k in seq_len(fits)) {
    event <- rexp(128, log(2) / 8.8)
    censored <- runif(128, 12, 23)
    time <- pmin(event, censored)
    quantile(survfit(Surv(time, event <= censored) ~ 1, conf.type = "log-log"), 0.5)
  })[["elapsed"]]
  cat(arguments[1] / rpact, fits / survfit, "\n")
}
