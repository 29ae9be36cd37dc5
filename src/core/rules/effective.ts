import type { Section } from "../intent/intent.ts";
import type { Shape } from "./schema-shape.ts";
import { RESILIENCE_POLICY } from "./schemas/resiliencepolicy.ts";

/** Of each section: who asked for it. Both are empty where a person wrote it by hand. */
const SOURCE = { policy: "string:253", revision: "string:63" } as const satisfies Shape;

/** Lists and texts are as long as ResiliencePolicy lets them be. */
const RETRY = {
  maxAttempts: "int",
  statusCodes: ["string:13", 32],
  grpcCodes: ["string:18", 5],
  timeout: "duration",
} as const satisfies Shape;
const TIMEOUT = { request: "duration", response: "duration", idle: "duration" } as const satisfies Shape;

const MATCHES = [
  {
    "@": "fairlead.RouteMatch",
    path: { "@": "fairlead.PathMatch", type: "string:17", value: "string:1024" },
    method: "string:7",
    headers: [{ "@": "fairlead.HeaderMatch", name: "string:256", type: "string:17", value: "string:1024" }, 8],
  },
  8,
] as const satisfies Shape;

const SERVICE_ACCOUNTS = [
  { "@": "fairlead.ServiceAccount", namespace: "string:63", name: "string:253" },
  16,
] as const satisfies Shape;

const ACCESS = [
  {
    "@": "fairlead.Access",
    from: {
      "@": "fairlead.Clients",
      serviceAccounts: SERVICE_ACCOUNTS,
      namespaces: ["string:63", 16],
      cidrs: ["string:43", 16],
    },
    to: {
      "@": "fairlead.Requests",
      paths: [{ "@": "fairlead.AccessPath", type: "string:17", value: "string:1024" }, 16],
      methods: ["string:7", 9],
    },
  },
  16,
] as const satisfies Shape;

/** Forgetting a section does not compile. */
const BY_SECTION = {
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
      name: "string:63",
      matches: MATCHES,
      retry: { "@": "fairlead.RouteRetry", ...RETRY },
      timeout: { "@": "fairlead.RouteTimeout", ...TIMEOUT },
      ...SOURCE,
    },
    15,
  ],
  trafficSplit: {
    "@": "fairlead.EffectiveTrafficSplit",
    backends: [{ "@": "fairlead.Backend", name: "string:253", weight: "int", port: "int" }, 16],
    matches: MATCHES,
    ...SOURCE,
  },
  faultInjection: {
    "@": "fairlead.EffectiveFaultInjection",
    abort: { "@": "fairlead.Abort", percent: "int", status: "int" },
    delay: { "@": "fairlead.Delay", percent: "int", duration: "duration" },
    matches: MATCHES,
    ...SOURCE,
  },
  rateLimit: {
    "@": "fairlead.EffectiveRateLimit",
    requestsPerSecond: "int",
    perClient: "int",
    overrides: [{ "@": "fairlead.RateOverride", serviceAccounts: SERVICE_ACCOUNTS, requestsPerSecond: "int" }, 16],
    ...SOURCE,
  },
  mtls: { "@": "fairlead.EffectiveMtls", mode: "string:10", ...SOURCE },
  authorization: { "@": "fairlead.EffectiveAuthorization", allow: ACCESS, deny: ACCESS, ...SOURCE },
} as const satisfies Record<Section, Shape>;

/**
 * `effective` of a rule: the settings that are in force on the written Service or route after the write, in the words
 * of ResiliencePolicy, whoever wrote them. A section that is not in force is absent. Times are durations when the
 * expression runs, not text.
 */
export const EFFECTIVE: Shape = { "@": "fairlead.Effective", ...BY_SECTION };

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

/**
 * `mesh` of a rule: the one that the settings are for. `applies`: whether it acts on settings of the written object at all,
 * which it does not on a headless Service, for example.
 */
export const MESH: Shape = { "@": "fairlead.Mesh", name: "string", version: "string", applies: "bool" };
