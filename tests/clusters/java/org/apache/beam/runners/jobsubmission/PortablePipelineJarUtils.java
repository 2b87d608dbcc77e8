package org.apache.beam.runners.jobsubmission;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Message;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Struct;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.util.JsonFormat;

/**
 * Finds the pipeline in the jar that the Python SDK submits.
 *
 * <pre>
 * BEAM-PIPELINE/pipeline-manifest.json          {"defaultJobName": "pipeline"}
 * BEAM-PIPELINE/pipeline/pipeline.json
 * BEAM-PIPELINE/pipeline/pipeline-options.json
 * </pre>
 */
public final class PortablePipelineJarUtils {
  private static final String FOLDER = "BEAM-PIPELINE/";

  private PortablePipelineJarUtils() {}

  public static String getDefaultJobName() throws IOException {
    Struct.Builder manifest = Struct.newBuilder();
    parse("pipeline-manifest.json", manifest);
    return manifest.getFieldsOrThrow("defaultJobName").getStringValue();
  }

  public static RunnerApi.Pipeline getPipelineFromClasspath(String job) throws IOException {
    RunnerApi.Pipeline.Builder pipeline = RunnerApi.Pipeline.newBuilder();
    parse(job + "/pipeline.json", pipeline);
    return pipeline.build();
  }

  public static Struct getPipelineOptionsFromClasspath(String job) throws IOException {
    Struct.Builder options = Struct.newBuilder();
    parse(job + "/pipeline-options.json", options);
    return options.build();
  }

  private static void parse(String name, Message.Builder target) throws IOException {
    ClassLoader loader = Thread.currentThread().getContextClassLoader();
    try (InputStream stream = loader.getResourceAsStream(FOLDER + name)) {
      if (stream == null) {
        throw new FileNotFoundException("the submitted jar holds no " + FOLDER + name);
      }
      Reader text = new InputStreamReader(stream, StandardCharsets.UTF_8);
      JsonFormat.parser().ignoringUnknownFields().merge(text, target);
    }
  }
}
