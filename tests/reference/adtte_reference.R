# What R's survival makes of an exported ADTTE. Run in this folder:
#   vtrial cohort karmma --trial 3 --out adam && cp adam/adtte.csv . && Rscript adtte_reference.R
library(survival)
times <- read.csv("adtte.csv")
rows <- lapply(c("PFS", "DOR", "OS"), function(param) {
  fit <- survfit(Surv(AVAL, 1 - CNSR) ~ 1, data = times[times$PARAMCD == param, ], conf.type = "log-log")
  of <- summary(fit)$table
  data.frame(param = param, records = of[["records"]], events = of[["events"]],
             median = sprintf("%.9f", of[["median"]]), low = sprintf("%.9f", of[["0.95LCL"]]),
             high = if (is.na(of[["0.95UCL"]])) "NA" else sprintf("%.9f", of[["0.95UCL"]]))
})
write.csv(do.call(rbind, rows), "adtte_expected.csv", row.names = FALSE, quote = FALSE)
