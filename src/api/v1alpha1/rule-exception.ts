import * as z from "zod";
import type { Checked } from "../check.ts";
import { checkObject, type Metadata } from "../envelope.ts";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import type { DeepReadonly } from "../readonly.ts";
import { withKeyword, withRules } from "../rule.ts";
import { objectName } from "./common.ts";
import { unique } from "./lists.ts";
import { labelSelector } from "./selector.ts";

export const RULE_EXCEPTION_KIND = "RuleException";

/** As many as the guard of the chart has validations (exempt-guard.yaml): it asks for the right to each by itself. */
const RULES_MAX = 16;
const OBJECTS_MAX = 64;
const OWNER_LENGTH_MAX = 253;
const REASON_LENGTH_MAX = 1024;
/** With a fraction of nanoseconds and a numeric zone. */
const TIME_LENGTH_MAX = 35;
/** RFC 3339; whether the day exists is checked where it is compared with the present. */
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$/;
const TIME_WANTED = 'a time such as "2027-01-31T00:00:00Z"';
const TIME_FIX = "write the day, T, the time and Z (RFC 3339), in quotes";

const time = hint(
  withRules(
    z
      .string()
      .max(TIME_LENGTH_MAX)
      .meta({
        description:
          "When the exception stops to work, at most 90 days ahead when it is written. Required. " +
          'Example: "2027-01-31T00:00:00Z".',
      }),
    [
      {
        cel: `self.matches('${TIME.source}')`,
        holds: (text) => TIME.test(text),
        wanted: TIME_WANTED,
        found: show,
        fix: TIME_FIX,
      },
    ],
  ),
  { wanted: TIME_WANTED, fix: TIME_FIX },
);

/** A text that says something. */
function words(schema: z.ZodString) {
  return withRules(schema, [
    {
      cel: String.raw`self.matches('[^ \t\n\r]')`,
      holds: (text) => /[^ \t\n\r]/.test(text),
      wanted: "a text",
      found: show,
      fix: "write it out: whoever reads the exception later has nothing else",
    },
  ]);
}

const specFields = z.strictObject({
  rules: withKeyword(
    z
      .array(objectName("Name of an AdmissionRule.", "Write the metadata.name of the AdmissionRule"))
      .min(1)
      .max(RULES_MAX),
    { "x-kubernetes-list-type": "set" },
    [unique("each rule once")],
  ).meta({
    description:
      `1 to ${RULES_MAX} AdmissionRules, by name, from which objects are exempt. Each must say exceptionsAllowed: true, and who ` +
      'writes the exception needs the verb exempt on each. Required. Example: ["timeout-required"].',
  }),
  objectNames: z.exactOptional(
    withKeyword(
      z.array(objectName("Name of an object.", "Write the metadata.name of the object")).min(1).max(OBJECTS_MAX),
      { "x-kubernetes-list-type": "set" },
      [unique("each name once")],
    ).meta({
      description:
        `1 to ${OBJECTS_MAX} objects of this namespace, by name, whatever their kind. Exactly one of objectNames and ` +
        'objectSelector is needed. Example: ["legacy-billing"].',
    }),
  ),
  objectSelector: z.exactOptional(
    withRules(labelSelector("Objects of this namespace with these labels; at least one condition is needed."), [
      {
        cel: "has(self.matchLabels) || has(self.matchExpressions) && size(self.matchExpressions) > 0",
        holds: (selector) => selector.matchLabels !== undefined || (selector.matchExpressions ?? []).length > 0,
        wanted: "at least one label",
        found: () => "an empty selector, which means every object",
        fix: "name the labels of the objects that are exempt",
        reads: ["matchLabels", "matchExpressions"],
      },
    ]).meta({
      description:
        "Objects of this namespace that have these labels. Exactly one of objectNames and objectSelector is needed. " +
        'Example: {"matchLabels": {"team": "billing"}}.',
    }),
  ),
  owner: words(
    z
      .string()
      .min(1)
      .max(OWNER_LENGTH_MAX)
      .meta({ description: 'Who answers for the exception. Required. Example: "team-billing@example.com".' }),
  ),
  reason: words(
    z
      .string()
      .min(1)
      .max(REASON_LENGTH_MAX)
      .meta({ description: 'Why it is needed. Required. Example: "Migration to the new gateway, TICKET-123".' }),
  ),
  expiresAt: time,
});

/** The shape of `spec`: source of the types, of the CRD and of the parser. */
export const ruleExceptionSpec = withRules(specFields, [
  {
    cel: "has(self.objectNames) != has(self.objectSelector)",
    holds: (spec) => (spec.objectNames === undefined) !== (spec.objectSelector === undefined),
    wanted: "exactly one of objectNames and objectSelector",
    found: (spec) =>
      spec.objectNames === undefined ? "neither objectNames nor objectSelector" : "both objectNames and objectSelector",
    fix: "name the objects that are exempt, or select them by their labels",
  },
]).meta({ description: "Which objects are exempt from which rules, until when, and who answers for it." });

export type RuleExceptionSpec = DeepReadonly<z.output<typeof ruleExceptionSpec>>;

export interface RuleException {
  readonly metadata: Metadata;
  readonly spec: RuleExceptionSpec;
}

/** The one parser of the form, for every door; what its time is worth is asked with the time of a request. */
export function parseRuleException(object: unknown): Checked<RuleException> {
  return checkObject(object, { kind: RULE_EXCEPTION_KIND, spec: ruleExceptionSpec });
}
