import * as z from "zod";
import { hint } from "../hints.ts";
import { alternatives, show } from "../problem.ts";
import { type Rule, withKeyword, withRules } from "../rule.ts";

/** Kinds that a policy may name, each with the API groups in which it may be named; "" is the core group. */
export const TARGET_GROUPS = {
  Service: [""],
  HTTPRoute: ["gateway.networking.k8s.io", "policy.linkerd.io"],
  GRPCRoute: ["gateway.networking.k8s.io"],
} as const satisfies Record<string, readonly string[]>;

const TARGET_KINDS = Object.keys(TARGET_GROUPS) as (keyof typeof TARGET_GROUPS)[];

/** Up to four groups of at most five digits with a unit. */
const DURATION = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;
const DURATION_LENGTH_MAX = 28;
/** DNS subdomain, the widest form that a Service or a route may have as its name. */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const OBJECT_NAME_LENGTH_MAX = 253;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const LABEL_VALUE_LENGTH_MAX = 63;
export const LABEL_PREFIX_LENGTH_MAX = 253;
export const LABEL_KEY =
  "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
const MATCH_LABELS_MAX = 16;

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** Exact milliseconds of a duration that passed the schema: `2s500ms` -> 2500. */
export function parseDurationMs(text: string): number {
  let total = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g)) {
    total += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return total;
}

const DURATION_WANTED = 'a duration such as "300ms", "2s500ms" or "1h"';
const DURATION_FIX = "write whole numbers of at most five digits, each with a unit h, m, s or ms, at most four of them";

/**
 * A duration in the Gateway API grammar (GEP-2257), never zero. The grammar is a rule and no pattern: of a pattern the
 * API server shows the regular expression, of a rule our words.
 */
export function duration(description: string): z.ZodString {
  const text = z.string().max(DURATION_LENGTH_MAX).meta({ description });
  const ruled = withRules(text, [
    {
      cel: `self.matches('${DURATION.source}')`,
      holds: (value) => DURATION.test(value),
      wanted: DURATION_WANTED,
      found: show,
      fix: DURATION_FIX,
    },
    {
      cel: `self.matches('[1-9]') || !self.matches('${DURATION.source}')`,
      holds: (value) => /[1-9]/.test(value) || !DURATION.test(value),
      wanted: "a duration above zero",
      found: show,
      fix: "leave the field out to have no limit of its own, or write a time such as 300ms",
    },
  ]);
  return hint(ruled, { wanted: DURATION_WANTED, fix: DURATION_FIX });
}

/** An integer with both bounds, in 32 bits. */
export function integer(min: number, max: number, description: string): z.ZodInt {
  return z.int().min(min).max(max).meta({ description });
}

/** The name of an object of any kind. */
export function objectName(description: string, fix: string): z.ZodString {
  const name = z.string().min(1).max(OBJECT_NAME_LENGTH_MAX).regex(OBJECT_NAME).meta({ description });
  return hint(name, {
    wanted: "the name of an object: lower-case letters, digits, - and ., 1 to 253 characters",
    fix,
  });
}

const targetGroups = [...new Set(Object.values(TARGET_GROUPS).flat())].sort();

const targetRefFields = z.strictObject({
  group: z.exactOptional(
    z.enum(targetGroups).meta({
      description:
        'API group of the target. Absent means "", the core group, which is right for a Service. A route needs ' +
        "gateway.networking.k8s.io or, for Linkerd's own HTTPRoute, policy.linkerd.io. The version is never named.",
    }),
  ),
  kind: z.enum(TARGET_KINDS).meta({
    description:
      "Kind of the target: Service, HTTPRoute or GRPCRoute. Settings on a route act on the requests that the route " +
      "matches; where a route has settings of its own, Linkerd ignores those of the Service for that route. Required.",
  }),
  name: objectName(
    "Name of the target, in the namespace of the policy. It may be created later than the policy. Required. " +
      'Example: "user-service".',
    "Write the metadata.name of the target, without its namespace",
  ),
});

function groupFitsKind(kind: keyof typeof TARGET_GROUPS): Rule<z.output<typeof targetRefFields>> {
  const groups: readonly string[] = TARGET_GROUPS[kind];
  const given = groups.map((group) => `self.group == '${group}'`).join(" || ");
  const group = groups.includes("") ? `!has(self.group) || ${given}` : `has(self.group) && (${given})`;
  return {
    cel: `self.kind != '${kind}' || ${groups.length > 0 ? `(${group})` : "false"}`,
    holds: (ref) => ref.kind !== kind || groups.includes(ref.group ?? ""),
    wanted: `${alternatives(groups)} for the kind ${kind}`,
    found: (ref) => show(ref.group),
    fix: groups.includes("") ? "leave group out" : `write group: ${groups.join(" or group: ")}`,
    path: "group",
    reads: ["group", "kind"],
  };
}

/** One target, by name. */
export const targetRef = withRules(targetRefFields, TARGET_KINDS.map(groupFitsKind)).meta({
  description: "One Service or route in the namespace of the policy.",
});
export type TargetRef = z.output<typeof targetRef>;

export const labelValue = hint(
  z
    .string()
    .max(LABEL_VALUE_LENGTH_MAX)
    .regex(LABEL_VALUE)
    .meta({ description: "The value that the label must have, exactly." }),
  {
    wanted: "a label value: letters, digits, -, _ and . with a letter or digit at both ends, at most 63 characters",
    fix: "Write the value as it is in metadata.labels of the Service, in quotes",
  },
);

/** Labels with their values, at least one. */
export const matchLabels = withRules(
  withKeyword(z.record(z.string(), labelValue), { minProperties: 1, maxProperties: MATCH_LABELS_MAX }, [
    {
      holds: (labels) => Object.keys(labels).length > 0 && Object.keys(labels).length <= MATCH_LABELS_MAX,
      wanted: `1 to ${MATCH_LABELS_MAX} labels`,
      found: (labels) => `${Object.keys(labels).length} labels`,
      fix: "name the labels that tell the Services apart",
    },
  ]),
  [
    {
      cel: `self.all(key, key.matches('${LABEL_KEY}') && size(key.split('/')[0]) <= ${LABEL_PREFIX_LENGTH_MAX})`,
      holds: (labels) => Object.keys(labels).every(isLabelKey),
      wanted: "label keys: an optional DNS prefix and /, then at most 63 letters, digits, -, _ and .",
      found: (labels) => show(Object.keys(labels).find((key) => !isLabelKey(key))),
      fix: "write the keys as they are in metadata.labels of the Service",
    },
  ],
);

const labelKey = new RegExp(LABEL_KEY);

function isLabelKey(key: string): boolean {
  return labelKey.test(key) && (key.split("/")[0] ?? "").length <= LABEL_PREFIX_LENGTH_MAX;
}

/** Every Service of the namespace with these labels. */
export const targetSelector = z
  .strictObject({
    matchLabels: matchLabels.meta({
      description:
        `1 to ${MATCH_LABELS_MAX} labels, all of which a Service must have to be a target. ` +
        'Required. Example: {"team": "iam"}.',
    }),
  })
  .meta({
    description:
      "Chooses every Service in the namespace of the policy that has the given labels, now or later. Routes are " +
      "chosen by name only. A policy that names a Service in targetRefs goes before one that selects it. Exactly one " +
      "of targetRefs and targetSelector is needed.",
  });

/** A `metav1.Condition`. */
export const condition = z
  .object({
    type: z.string().max(316).meta({ description: "Type of the condition, such as Ready." }),
    status: z.enum(["True", "False", "Unknown"]).meta({ description: "True, False or Unknown." }),
    observedGeneration: z.exactOptional(
      z
        .int()
        .min(0)
        .meta({ format: "int64", description: "metadata.generation that the condition was computed from." }),
    ),
    lastTransitionTime: z
      .string()
      .max(64)
      .meta({ format: "date-time", description: "When the status of the condition last changed." }),
    reason: z.string().max(1024).meta({ description: "One word in CamelCase that says why, for programs." }),
    message: z.string().max(32_768).meta({ description: "What is the case and what to do, for people." }),
  })
  .meta({ description: "One aspect of the current state." });
