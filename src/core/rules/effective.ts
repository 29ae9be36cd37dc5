import type { Shape } from "./schema-shape.ts";
import { RESILIENCE_POLICY } from "./schemas/resiliencepolicy.ts";

/** Of each section: who asked for it. Both are empty where a person wrote it by hand. */
const SOURCE = { policy: "string", revision: "string" } as const satisfies Shape;

const RETRY = {
  maxAttempts: "int",
  statusCodes: ["string"],
  grpcCodes: ["string"],
  timeout: "duration",
} as const satisfies Shape;
const TIMEOUT = { request: "duration", response: "duration", idle: "duration" } as const satisfies Shape;

/**
 * `effective` of a rule: the settings that are in force on the written Service or route after the write, in the words
 * of ResiliencePolicy, whoever wrote them. A section that is not in force is absent. Times are durations when the
 * expression runs, not text.
 */
export const EFFECTIVE: Shape = {
  "@": "fairlead.Effective",
  circuitBreaker: {
    "@": "fairlead.EffectiveCircuitBreaker",
    consecutiveFailures: "int",
    minPenalty: "duration",
    maxPenalty: "duration",
    jitterPercent: "int",
    maxEjectionPercent: "int",
    ...SOURCE,
  },
  retry: { "@": "fairlead.EffectiveRetry", ...RETRY, ...SOURCE },
  timeout: { "@": "fairlead.EffectiveTimeout", ...TIMEOUT, ...SOURCE },
  routes: [
    {
      "@": "fairlead.EffectiveRoute",
      name: "string",
      matches: [
        {
          "@": "fairlead.RouteMatch",
          path: { "@": "fairlead.PathMatch", type: "string", value: "string" },
          method: "string",
          headers: [{ "@": "fairlead.HeaderMatch", name: "string", type: "string", value: "string" }],
        },
      ],
      retry: { "@": "fairlead.RouteRetry", ...RETRY },
      timeout: { "@": "fairlead.RouteTimeout", ...TIMEOUT },
      ...SOURCE,
    },
  ],
};

const POLICY_SPEC: Shape =
  new Map(Object.entries(RESILIENCE_POLICY as Readonly<Record<string, Shape>>)).get("spec") ?? "dyn";

/** `policies` of a rule: those aimed at the written Service or route, with the sections that each decides there. */
export const POLICIES: Shape = [
  {
    "@": "fairlead.AimedPolicy",
    name: "string",
    revision: "string",
    sections: ["string"],
    spec: POLICY_SPEC,
  },
];

/** `mesh` of a rule: the one that the settings are for. */
export const MESH: Shape = { "@": "fairlead.Mesh", name: "string", version: "string" };
