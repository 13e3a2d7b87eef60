# What R's survival says of random data sets with ties: Rscript survival_reference.R FOLDER
# writes survival_data.csv (the patients, a line a data set) and survival_expected.csv. A patient has a code, 0 to 3,
# and is analysed or not; the group is codes 0 and 1, the other group code 2. "Inf": not estimable; empty: not compared.
suppressMessages(library(survival))
folder <- commandArgs(trailingOnly = TRUE)[1]
set.seed(20210225)
marks <- c(0, 90, 200, 400)
taus <- c(150, 500)
probs <- c(0.25, 0.5, 0.75)
scales <- c("plain", "log", "log-log")

made <- function(n, grid, shape, scale, follow) {
  time <- rweibull(n, shape, scale)
  cut <- runif(n, 0, follow)
  list(
    time = as.integer(ceiling(pmin(time, cut) / grid) * grid), event = as.integer(time <= cut),
    code = sample(0:3, n, replace = TRUE, prob = c(3, 2, 3, 1)), analysed = as.integer(runif(n) < 0.95)
  )
}
stated <- function(time, event, code = rep(0, length(time)), analysed = rep(1, length(time))) {
  list(time = as.integer(time), event = as.integer(event), code = code, analysed = analysed)
}
sets <- list(
  stated(integer(0), integer(0)), # nobody at all
  stated(c(10, 20), c(1, 1), c(0, 1), c(0, 0)), # nobody analysed
  stated(c(10, 20), c(1, 1), c(2, 3)), # nobody in the group
  stated(100, 1), stated(100, 0), stated(0, 1), stated(0, 0), # one patient
  stated(c(30, 60, 90, 120), c(1, 1, 0, 0)), # the plateau at a half is never left
  stated(c(30, 60, 90, 120), c(1, 1, 1, 1)), stated(c(30, 60, 61, 90), c(1, 1, 0, 1)), # left: its middle
  stated(c(30, 61), c(1, 1)), stated(c(30, 30, 30, 30), c(1, 1, 0, 0)), stated(rep(50, 6), rep(1, 6)),
  stated(c(0, 0, 3, 5, 5, 7), c(1, 0, 1, 1, 0, 0)), stated(1:40 * 10, rep(0, 40)), # all censored
  stated(1:64 * 7, rep(1, 64)), stated(1:128 * 3, rep(1, 128)), # all events, plateaus at every quarter
  stated(1:128 * 3, rep(1:0, each = 64)), stated(rep(1:16 * 30, each = 8), rep(1, 128)),
  stated(c(1, 2, 3, 4), c(0, 0, 1, 1)), stated(c(5, 5, 9, 9), c(1, 1, 1, 1), c(0, 2, 1, 2))
)
for (i in 1:320) {
  n <- sample(c(1, 2, 3, 5, 8, 12, 20, 35, 60, 90, 128), 1)
  sets[[length(sets) + 1]] <- made(n, sample(c(1, 1, 15, 30.4375, 91), 1), runif(1, 0.6, 2), 10^runif(1, 1.6, 3.2),
    10^runif(1, 2, 3.2))
}

quantity <- function(set, level) {
  within <- set$analysed == 1
  group <- within & set$code <= 1
  other <- within & set$code == 2
  time <- set$time[group]
  event <- set$event[group]
  got <- list(level = level, n = length(time), events = sum(event))
  empty <- length(time) == 0
  for (scale in scales) {
    if (!empty) {
      fit <- survfit(Surv(time, event) ~ 1, conf.type = scale, conf.int = level)
      found <- quantile(fit, probs = probs)
    } else {
      found <- list(quantile = rep(NA, 3), lower = rep(NA, 3), upper = rep(NA, 3))
    }
    found <- lapply(found, function(x) ifelse(is.na(x), Inf, x))
    name <- paste0(gsub("-", "", scale), ".", 100 * probs)
    got[paste0("low.", name)] <- found$lower
    got[paste0("high.", name)] <- found$upper
    if (scale == "plain") got[paste0("quantile.", 100 * probs)] <- found$quantile
    at <- if (empty) NULL else summary(fit, times = marks, extend = TRUE)
    got[paste0("survival_low.", gsub("-", "", scale), ".", marks)] <- if (empty) NA else at$lower
    got[paste0("survival_high.", gsub("-", "", scale), ".", marks)] <- if (empty) NA else at$upper
  }
  got[paste0("survival.", marks)] <- if (empty) 1 else at$surv
  got[paste0("error.", marks)] <- if (empty) 0 else ifelse(at$surv == 0, 0, at$std.err)
  got[paste0("at_risk.", marks)] <- if (empty) 0 else sapply(marks, function(mark) sum(time >= mark))
  stopifnot(empty || identical(as.integer(unlist(got[paste0("at_risk.", marks)])), as.integer(at$n.risk)))
  for (tau in taus) {
    got[paste0("mean.", tau)] <- if (empty) tau else survival:::survmean(fit, rmean = tau)$matrix[["rmean"]]
  }
  # Mantel's test; survdiff wants two groups with somebody in each
  both <- group | other
  if (any(group) && any(other)) {
    test <- tryCatch(
      suppressWarnings(survdiff(Surv(set$time[both], set$event[both]) ~ ifelse(group[both], 1, 2))),
      error = function(e) NULL # singular: no day with an event has both at risk
    )
    able <- !is.null(test) && test$var[1, 1] > 1e-12
    got["two.expected"] <- if (is.null(test)) NA else test$exp[1]
    got["two.chi2"] <- if (able) test$chisq else 0
  } else {
    got["two.expected"] <- sum(event)
    got["two.chi2"] <- 0
  }
  expected <- sum((time / 300)^1.2)
  got["one.expected"] <- expected
  got["one.chi2"] <- if (expected > 0) (sum(event) - expected)^2 / expected else 0
  if (expected > 0) {
    benchmark <- exp(-(time / 300)^1.2)
    test <- survdiff(Surv(time, event) ~ offset(benchmark))
    stopifnot(abs(test$chisq - got[["one.chi2"]]) < 1e-6 * (1 + test$chisq), abs(test$exp - expected) < 1e-6 * expected)
  }
  exposed <- pmax(time, 0.5)
  got["hazard"] <- if (sum(time) > 0) sum(event) / sum(time) else 0
  got["shape"] <- got["scale"] <- NA
  if (sum(event) == 0) {
    got["shape"] <- 1
    got["scale"] <- Inf
  } else if (any(exposed > max(exposed[event == 1])) || length(unique(exposed[event == 1])) > 1) {
    fit <- tryCatch(
      survreg(Surv(exposed, event) ~ 1,
        dist = "weibull", control = survreg.control(rel.tolerance = 1e-12, maxiter = 200)
      ),
      warning = function(w) NULL
    )
    if (!is.null(fit) && 1 / fit$scale < 20) {
      got["shape"] <- 1 / fit$scale
      got["scale"] <- exp(coef(fit)[[1]])
    }
  }
  sapply(got, function(x) if (is.na(x)) "" else sprintf("%.8g", x))
}

expected <- t(sapply(seq_along(sets), function(i) quantity(sets[[i]], if (i %% 3 == 0) 0.8 else 0.95)))
write.csv(expected, file.path(folder, "survival_expected.csv"), row.names = FALSE, quote = FALSE)
joined <- function(name, by) sapply(sets, function(set) paste(set[[name]], collapse = by))
data <- data.frame(
  time = joined("time", " "), event = joined("event", ""), code = joined("code", ""), analysed = joined("analysed", "")
)
write.csv(data, file.path(folder, "survival_data.csv"), row.names = FALSE, quote = FALSE)
