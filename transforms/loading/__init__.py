"""The loader: batches for a training loop out of the shards of a build or of an export."""
