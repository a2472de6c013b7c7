"""Making an instance: folders, keys, trust file, policies, databases, tokens. Nothing here is ever made implicitly later."""
