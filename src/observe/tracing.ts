import type { Logger } from "pino";
import { policyTrace } from "./trace-context.ts";

export type SpanName = "admission.review" | "controller.reconcile" | "controller.write";

/** Names, codes and counts; never contents of objects. Names of OpenTelemetry's conventions where it has one. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanOptions {
  /** 32 hexadecimal digits: of {@link Tracing.policyTrace}, or of a `traceparent` that came in. */
  readonly traceId: string;
  /** A `traceparent`. Of the same trace it is the span above, of another trace it becomes a link; malformed: none. */
  readonly parent?: string | undefined;
  /** `performance.now()` where it began before this call. */
  readonly startMs?: number;
  readonly attributes?: SpanAttributes;
}

export interface Span {
  setAttributes(attributes: SpanAttributes): void;
  /** For the spans below this one; undefined while tracing is off. */
  traceparent(): string | undefined;
  /** Of an error only its kind is exported: a message may quote an object. */
  end(error?: unknown): void;
}

/** Spans of one process. Passed in wherever it is needed; never throws, never waits. */
export interface Tracing {
  /** False: every span is the same one that does nothing, so callers may spare themselves the attributes. */
  readonly enabled: boolean;
  readonly policyTrace: (uid: string, generation: number) => string;
  span(name: SpanName, options: SpanOptions): Span;
  /** Exports what is left and ends, after two seconds at the latest. Spans that end later are dropped. */
  shutdown(): Promise<void>;
}

const NO_SPAN: Span = Object.freeze({
  setAttributes: () => undefined,
  traceparent: () => undefined,
  end: () => undefined,
});

/** What tracing is while it is off. */
export const NO_TRACING: Tracing = Object.freeze({
  enabled: false,
  policyTrace,
  span: () => NO_SPAN,
  shutdown: () => Promise.resolve(),
});

/**
 * Traces over OTLP where OpenTelemetry's environment variables ask for them, else {@link NO_TRACING}. `env` is the
 * environment of the process: OpenTelemetry's packages read theirs from there. They are loaded only here, because they
 * cost memory (docs/adr/0012-tracing.md).
 */
export async function createTracing(env: NodeJS.ProcessEnv, log: Logger): Promise<Tracing> {
  if (!isWanted(env)) return NO_TRACING;
  const { startOpenTelemetry } = await import("./opentelemetry.ts");
  return startOpenTelemetry(env, log);
}

/** An empty variable counts as none, as OpenTelemetry's specification says. */
function isWanted(env: NodeJS.ProcessEnv): boolean {
  if (env["OTEL_SDK_DISABLED"]?.trim().toLowerCase() === "true") return false;
  const exporters = env["OTEL_TRACES_EXPORTER"]?.trim() || "otlp";
  if (!exporters.split(",").some((name) => name.trim() === "otlp")) return false;
  const endpoints = [env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], env["OTEL_EXPORTER_OTLP_ENDPOINT"]];
  return endpoints.some((endpoint) => (endpoint ?? "").trim() !== "");
}
