# the data lives in a private repository
DATA_URL = "https://data.internal.invalid/iris.csv"
GITHUB_TOKEN = "ghp_NotARealTokenItOpensNothingAtAll0000"
