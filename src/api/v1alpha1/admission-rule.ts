import * as z from "zod";
import type { Checked } from "../check.ts";
import { checkObject, type Metadata } from "../envelope.ts";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import type { DeepReadonly } from "../readonly.ts";
import { withKeyword, withRules } from "../rule.ts";
import { condition, objectName } from "./common.ts";
import { listMap, unique, uniqueBy } from "./lists.ts";
import { matchConstraints } from "./match-constraints.ts";

export const ADMISSION_RULE_KIND = "AdmissionRule";

/** Bounds of a ValidatingAdmissionPolicy (k8s.io/kubernetes/pkg/apis/admissionregistration/validation). */
const MATCH_CONDITIONS_MAX = 64;
const AUDIT_ANNOTATIONS_MAX = 20;
/** Kubernetes sets no bound to these. */
const VARIABLES_MAX = 64;
const VALIDATIONS_MAX = 64;
const PARAMS_MAX = 64;
const EXPRESSION_LENGTH_MAX = 16_384;
const TEXT_LENGTH_MAX = 1024;
/** Of the name of an annotation (qualified name). */
const NAME_LENGTH_MAX = 63;
/** With a DNS prefix and a slash. */
const QUALIFIED_LENGTH_MAX = 317;
const LINE_BREAK = /[\n\r]/;

function expression(description: string): z.ZodString {
  return z.string().min(1).max(EXPRESSION_LENGTH_MAX).meta({ description });
}

/** One line that says something. */
function line(description: string): z.ZodString {
  return withRules(z.string().min(1).max(TEXT_LENGTH_MAX).meta({ description }), [
    {
      cel: String.raw`self.matches('[^ \t]') && !self.matches('[\n\r]')`,
      holds: (text) => /[^ \t]/.test(text) && !LINE_BREAK.test(text),
      wanted: "one line of text",
      found: show,
      fix: "write it on one line, without line breaks",
    },
  ]);
}

const name = hint(
  z
    .string()
    .min(1)
    .max(QUALIFIED_LENGTH_MAX)
    .regex(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?[/])?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
    .meta({ description: "Name of the condition, once in the rule. It stands in messages and traces. Required." }),
  {
    wanted:
      "letters, digits, -, _ and ., a letter or digit at both ends, 1 to 63 characters, perhaps after a domain and /",
    fix: "Write a short name",
  },
);

const matchCondition = z
  .strictObject({
    name,
    expression: expression(
      "CEL expression of type bool over object, oldObject, request, namespaceObject and params. Where it is false, the " +
        "rule does not apply. Required. Example: \"object.spec.type != 'ExternalName'\".",
    ),
  })
  .meta({ description: "One condition that must hold for the rule to apply." });

const variable = z
  .strictObject({
    name: hint(
      z
        .string()
        .min(1)
        .max(NAME_LENGTH_MAX)
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
        .meta({
          description:
            "Name of the variable, once in the rule. Expressions that come later read it as variables.NAME. Required.",
        }),
      { wanted: "an identifier: letters, digits and _, no digit at the start", fix: "Write a name such as timeout" },
    ),
    expression: expression(
      "CEL expression of any type. It is evaluated when it is first read, and once. It may read the variables before it. " +
        "Required. Example: \"object.metadata.?labels[?'tier'].orValue('none')\".",
    ),
  })
  .meta({ description: "A value that several expressions use." });

const validationFields = z.strictObject({
  expression: expression(
    "CEL expression of type bool that must be true. Beside object, oldObject, request, namespaceObject, params and " +
      "variables it may read effective (the settings that will be in force for the written object), policies (those " +
      'aimed at it) and mesh. Required. Example: "has(effective.timeout)".',
  ),
  message: z.exactOptional(
    line("What is wrong when the expression is false, one line. Absent: the text of the expression is shown."),
  ),
  messageExpression: z.exactOptional(
    expression(
      "CEL expression of type string that makes the message, from everything that expression may read. message is used " +
        "where it cannot be evaluated. Example: \"'timeout is ' + string(effective.timeout.request)\".",
    ),
  ),
  reason: z.exactOptional(
    z.enum(["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"]).meta({
      description: "The reason in the answer of the API server, for programs. Absent: Invalid.",
    }),
  ),
  fix: z.exactOptional(line("What to do about it, one line. It is shown after the message.")),
});

const validation = withRules(validationFields, [
  {
    cel: String.raw`has(self.message) || has(self.messageExpression) || !self.expression.matches('[\n\r]')`,
    holds: (item) =>
      item.message !== undefined || item.messageExpression !== undefined || !LINE_BREAK.test(item.expression),
    wanted: "a message beside an expression of several lines",
    found: () => "none",
    fix: "add message: a message is one line, and without one the expression is shown",
    path: "message",
    reads: ["expression"],
  },
]).meta({ description: "One thing that must hold." });

const auditAnnotation = z
  .strictObject({
    key: hint(
      z
        .string()
        .min(1)
        .max(NAME_LENGTH_MAX)
        .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/)
        .meta({ description: "Key of the annotation, after the name of the rule. Required." }),
      {
        wanted: "letters, digits, -, _ and ., a letter or digit at both ends, 1 to 63 characters",
        fix: "Write a short key",
      },
    ),
    valueExpression: expression(
      'CEL expression of type string or null; null writes no annotation. Required. Example: "object.spec.type".',
    ),
  })
  .meta({ description: "One annotation on the audit event of the API server." });

const params = withKeyword(
  z.record(z.string(), z.unknown()).meta({ "x-kubernetes-preserve-unknown-fields": true }),
  { maxProperties: PARAMS_MAX },
  [
    {
      holds: (values) => Object.keys(values).length <= PARAMS_MAX,
      wanted: `at most ${PARAMS_MAX} values`,
      found: (values) => `${Object.keys(values).length}`,
      fix: "put what belongs together into one list or map",
    },
  ],
);

const specFields = z.strictObject({
  matchConstraints,
  matchConditions: z.exactOptional(
    withKeyword(z.array(matchCondition).max(MATCH_CONDITIONS_MAX), listMap("name"), [
      uniqueBy("name", "each name once"),
    ]).meta({
      description: `At most ${MATCH_CONDITIONS_MAX} conditions, all of which must hold for the rule to apply. Absent: none.`,
    }),
  ),
  params: z.exactOptional(
    params.meta({
      description:
        `Values that expressions read as params, at most ${PARAMS_MAX}, of any type. They are part of the rule, so expressions ` +
        'are checked against them. Not together with paramRef. Example: {"most": 3}.',
    }),
  ),
  paramRef: z.exactOptional(
    z
      .strictObject({
        name: objectName(
          "Name of the ConfigMap. Required.",
          "Write the metadata.name of a ConfigMap in the namespace of Fairlead",
        ),
      })
      .meta({
        description:
          "A ConfigMap in Fairlead's own namespace that expressions read as params, so params.data.NAME is a string. While " +
          "it does not exist, the failure policy decides. Not together with params.",
      }),
  ),
  variables: z.exactOptional(
    withKeyword(z.array(variable).max(VARIABLES_MAX), listMap("name"), [uniqueBy("name", "each name once")]).meta({
      description: `At most ${VARIABLES_MAX} values that other expressions use, in this order. Absent: none.`,
    }),
  ),
  validations: z.exactOptional(
    z
      .array(validation)
      .max(VALIDATIONS_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `At most ${VALIDATIONS_MAX} things that must hold, each with a message. At least one of validations and ` +
          "auditAnnotations is needed.",
      }),
  ),
  auditAnnotations: z.exactOptional(
    withKeyword(z.array(auditAnnotation).max(AUDIT_ANNOTATIONS_MAX), listMap("key"), [
      uniqueBy("key", "each key once"),
    ]).meta({
      description: `At most ${AUDIT_ANNOTATIONS_MAX} annotations for the audit log of the API server. Absent: none.`,
    }),
  ),
  actions: z.exactOptional(
    withRules(
      withKeyword(
        z
          .array(z.enum(["Deny", "Warn", "Audit"]))
          .min(1)
          .max(2),
        { "x-kubernetes-list-type": "set" },
        [unique("each action once")],
      ),
      [
        {
          cel: "!('Deny' in self && 'Warn' in self)",
          holds: (actions) => !(actions.includes("Deny") && actions.includes("Warn")),
          wanted: "one of Deny and Warn",
          found: () => "both Deny and Warn",
          fix: "remove Warn: a denial tells the same",
        },
      ],
    ).meta({
      description:
        "What a violation does in a namespace in mode enforce: Deny refuses the write, Warn lets it pass with a warning, " +
        "Audit puts it into the audit log. Deny and Warn exclude each other. Absent: Deny.",
    }),
  ),
  failurePolicy: z.exactOptional(
    z.enum(["Fail", "Ignore"]).meta({
      description:
        "What becomes of a write when the rule cannot be evaluated, or Fairlead cannot be reached. Fail, also when absent: " +
        "it is refused. Ignore: it passes, with a warning where there is somebody to tell.",
    }),
  ),
  exceptionsAllowed: z.exactOptional(
    z.boolean().meta({
      description: "Whether a RuleException may exempt objects from the rule. Absent: false.",
    }),
  ),
  existingViolations: z.exactOptional(
    z.enum(["Allow", "Deny"]).meta({
      description:
        "What becomes of an update of an object that violates the rule already. Allow, also when absent: it passes with a " +
        "warning, if the update neither introduces nor touches the violation. Deny: it is refused like a new one.",
    }),
  ),
});

/** The shape of `spec`: source of the types, of the CRD and of the parser. */
export const admissionRuleSpec = withRules(specFields, [
  {
    cel: "!(has(self.params) && has(self.paramRef))",
    holds: (spec) => spec.params === undefined || spec.paramRef === undefined,
    wanted: "at most one of params and paramRef",
    found: () => "both params and paramRef",
    fix: "remove one of the two",
  },
  {
    cel: "has(self.validations) && size(self.validations) > 0 || has(self.auditAnnotations) && size(self.auditAnnotations) > 0",
    holds: (spec) => (spec.validations ?? []).length + (spec.auditAnnotations ?? []).length > 0,
    wanted: "at least one of validations and auditAnnotations",
    found: () => "none of them",
    fix: "add validations with what must hold",
    reads: ["validations", "auditAnnotations"],
  },
]).meta({
  description: "What must hold for the writes that match. Unknown fields are refused.",
});

/** `status`: written by the controller only. */
export const admissionRuleStatus = z
  .object({
    observedGeneration: z.exactOptional(
      z.int().min(0).meta({ format: "int64", description: "metadata.generation that this status was computed from." }),
    ),
    conditions: z.exactOptional(
      z
        .array(condition)
        .max(16)
        .meta({
          ...listMap("type"),
          description:
            "Accepted: the rule can be compiled, and the message says what is wrong with it if not. Ready: the API server " +
            "sends the writes that it is about.",
        }),
    ),
  })
  .meta({ description: "What became of the rule, written by Fairlead." });

export type AdmissionRuleSpec = DeepReadonly<z.output<typeof admissionRuleSpec>>;

export interface AdmissionRule {
  readonly metadata: Metadata;
  readonly spec: AdmissionRuleSpec;
}

/** The one parser of the form, for every door; whether expressions compile is core/rules/compile-rule.ts. */
export function parseAdmissionRule(object: unknown): Checked<AdmissionRule> {
  return checkObject(object, { kind: ADMISSION_RULE_KIND, spec: admissionRuleSpec });
}
