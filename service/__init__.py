"""What is long-lived and trusted: takes requests, keeps records, signs, logs, decides, answers. Never imports workers."""
