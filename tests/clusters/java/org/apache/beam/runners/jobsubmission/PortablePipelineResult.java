package org.apache.beam.runners.jobsubmission;

import org.apache.beam.model.jobmanagement.v1.JobApi;
import org.apache.beam.sdk.PipelineResult;

/** What they give back. */
public interface PortablePipelineResult extends PipelineResult {
  JobApi.MetricResults portableMetrics() throws UnsupportedOperationException;
}
