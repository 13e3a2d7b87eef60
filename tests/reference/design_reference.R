# What rpact makes of group-sequential designs. Run in this folder: Rscript design_reference.R
suppressMessages(library(rpact))
rows <- list()
add <- function(design, information, alpha, kind, gamma, beta, beta_kind, beta_gamma, binding) {
  last <- length(information)
  text <- function(x) paste(sprintf("%.10f", x), collapse = " ")
  shift <- if (is.na(beta)) NA else {
    fixed <- getSampleSizeMeans(design, groups = 1, alternative = 1, stDev = 1, normalApproximation = TRUE)
    sqrt(fixed$maxNumberOfSubjects)
  }
  rows[[length(rows) + 1]] <<- data.frame(
    information = text(information), alpha = alpha, kind = kind, gamma = gamma, beta = beta, beta_kind = beta_kind,
    beta_gamma = beta_gamma, binding = binding, efficacy = text(design$criticalValues),
    futility = if (is.na(beta)) "" else text(design$futilityBounds), drift = sprintf("%.10f", shift)
  )
}
spending <- c(asOF = "obrien-fleming", asP = "pocock", asHSD = "hwang-shih-decani")
kinds <- c(OF = "obrien-fleming-classical", P = "pocock-classical", spending)
informations <- list(c(.5, 1), (1:3) / 3, c(.2, .7, 1), (1:5) / 5, (1:10) / 10)
for (information in informations) for (alpha in c(.025, .05)) for (type in names(kinds)) {
  gammas <- if (type == "asHSD") c(-4, 1) else NA_real_
  for (gamma in gammas) {
    design <- getDesignGroupSequential(
      informationRates = information, alpha = alpha, sided = 1, typeOfDesign = type, gammaA = gamma,
      tolerance = 1e-10
    )
    add(design, information, alpha, kinds[[type]], gamma, NA, "", NA, FALSE)
  }
}
betas <- c(bsOF = "obrien-fleming", bsP = "pocock", bsHSD = "hwang-shih-decani")
for (information in informations[1:4]) for (type in names(spending)) for (lost in names(betas)) {
  for (binding in c(FALSE, TRUE)) {
    gamma <- if (type == "asHSD") -4 else NA_real_
    beta_gamma <- if (lost == "bsHSD") -2 else NA_real_
    design <- getDesignGroupSequential(
      informationRates = information, alpha = .025, beta = .1, sided = 1, typeOfDesign = type, gammaA = gamma,
      typeBetaSpending = lost, gammaB = beta_gamma, bindingFutility = binding, tolerance = 1e-10
    )
    add(design, information, .025, spending[[type]], gamma, .1, betas[[lost]], beta_gamma, binding)
  }
}
write.csv(do.call(rbind, rows), "design_expected.csv", row.names = FALSE, quote = FALSE, na = "")
