import { ROOT_CONTEXT, SpanKind } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";

/** Whether a trace that begins with us is sampled; of one trace id it is the same in every process. */
export type RootDecision = (traceId: string) => boolean;

export interface Samplers {
  readonly sampler: Sampler;
  readonly sampleRoot: RootDecision;
}

/** OpenTelemetry's specification, "General SDK Configuration". */
const DEFAULT_SAMPLER = "parentbased_always_on";
const PARENT_BASED = "parentbased_";

/** Reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, which the SDK leaves to the application. */
export function samplersOf(env: NodeJS.ProcessEnv, report: (problem: string) => void): Samplers {
  const name = env["OTEL_TRACES_SAMPLER"]?.trim() || DEFAULT_SAMPLER;
  const isParentBased = name.startsWith(PARENT_BASED);
  const known = rootSampler(isParentBased ? name.slice(PARENT_BASED.length) : name, env);
  if (known === undefined) report(`found OTEL_TRACES_SAMPLER ${name}, which is not known here: all is sampled`);
  const root = known ?? new AlwaysOnSampler();
  return {
    sampler: isParentBased || known === undefined ? new ParentBasedSampler({ root }) : root,
    sampleRoot(traceId) {
      const { decision } = root.shouldSample(ROOT_CONTEXT, traceId, "", SpanKind.INTERNAL, {}, []);
      return decision === SamplingDecision.RECORD_AND_SAMPLED;
    },
  };
}

function rootSampler(name: string, env: NodeJS.ProcessEnv): Sampler | undefined {
  switch (name) {
    case "always_on":
      return new AlwaysOnSampler();
    case "always_off":
      return new AlwaysOffSampler();
    case "traceidratio":
      return new TraceIdRatioBasedSampler(ratioOf(env["OTEL_TRACES_SAMPLER_ARG"]));
    default:
      return undefined;
  }
}

/** What is no number from 0 to 1 counts as 1, the default of the specification. */
function ratioOf(text: string | undefined): number {
  const ratio = text?.trim() ? Number(text) : 1;
  return ratio >= 0 && ratio <= 1 ? ratio : 1;
}
