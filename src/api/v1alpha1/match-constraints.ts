import * as z from "zod";
import { hint } from "../hints.ts";
import { withRules } from "../rule.ts";
import { objectName } from "./common.ts";
import { labelSelector } from "./selector.ts";

const RULES_MAX = 16;
const NAMES_MAX = 64;
const ITEMS_MAX = 16;
const GROUP_LENGTH_MAX = 253;
const VERSION_LENGTH_MAX = 63;
const RESOURCE_LENGTH_MAX = 127;

const starAlone = {
  cel: "self.size() == 1 || !self.exists(item, item == '*')",
  holds: (items: readonly string[]) => items.length === 1 || !items.includes("*"),
  wanted: '"*" alone, or a list without it',
  found: () => '"*" beside other items',
  fix: "remove the others, or the star",
};

/** A list of names, or of a star alone. */
function names<S extends z.ZodType<string>>(item: S, description: string) {
  return withRules(z.array(item).min(1).max(ITEMS_MAX), [starAlone]).meta({
    "x-kubernetes-list-type": "atomic",
    description,
  });
}

const group = hint(
  z
    .string()
    .max(GROUP_LENGTH_MAX)
    .regex(/^([*]|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/)
    .meta({ description: 'An API group; "" is the core group.' }),
  { wanted: 'an API group, "" for the core group, or "*"', fix: "Write the part of apiVersion before the slash" },
);
const version = hint(
  z
    .string()
    .min(1)
    .max(VERSION_LENGTH_MAX)
    .regex(/^([*]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$/)
    .meta({ description: 'A version of the API, or "*".' }),
  { wanted: 'a version such as "v1", or "*"', fix: "Write the part of apiVersion after the slash" },
);
const operation = hint(z.enum(["CREATE", "UPDATE", "*"]).meta({ description: "CREATE, UPDATE, or * for both." }), {
  wanted:
    '"CREATE", "UPDATE" or "*"; other operations are never sent to Fairlead, so that nothing keeps an object from going',
  fix: "Write CREATE, UPDATE or both",
});
const resource = hint(
  z
    .string()
    .min(1)
    .max(RESOURCE_LENGTH_MAX)
    .regex(/^[*a-z0-9]([-a-z0-9.]*[a-z0-9])?(\/[*a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/)
    .meta({ description: 'A resource in the plural, such as "services".' }),
  {
    wanted: 'a resource in the plural and in lower case, such as "services"',
    fix: "Write the plural, as in kubectl api-resources",
  },
);

function resourceRule(description: string) {
  return z
    .strictObject({
      apiGroups: names(group, 'API groups; "" is the core group, to which Services belong. Required. Example: [""].'),
      apiVersions: names(version, 'Versions, "*" for every one that is served. Required. Example: ["v1"].'),
      operations: names(
        operation,
        "What is being done: CREATE, UPDATE, or * for both. Deletions are never judged. Required. " +
          'Example: ["CREATE", "UPDATE"].',
      ),
      resources: names(
        resource,
        "Resources in the plural, without subresources. Nodes, Events, Leases and others that a cluster cannot do " +
          'without are refused. Required. Example: ["services"].',
      ),
      resourceNames: z.exactOptional(
        z
          .array(objectName("Name of an object.", "Write the metadata.name of the object"))
          .max(NAMES_MAX)
          .meta({
            "x-kubernetes-list-type": "atomic",
            description: `Names of objects, at most ${NAMES_MAX}. Absent: any name. A write with generateName has no name yet.`,
          }),
      ),
    })
    .meta({ description });
}

/** `spec.matchConstraints` of an AdmissionRule, in the form of a ValidatingAdmissionPolicy. */
export const matchConstraints = z
  .strictObject({
    matchPolicy: z.exactOptional(
      z.enum(["Equivalent"]).meta({
        description: "Equivalent, also when absent: an object counts in whatever version it is written.",
      }),
    ),
    namespaceSelector: z.exactOptional(
      labelSelector(
        "Labels that the namespace must have. The rule holds only in namespaces that are opted in, whatever stands here. " +
          'Absent: all of these. Example: {"matchLabels": {"env": "production"}}.',
      ),
    ),
    objectSelector: z.exactOptional(
      labelSelector(
        "Labels that the object must have, before or after the write. Whoever writes the object chooses its labels. " +
          "Absent: any object.",
      ),
    ),
    resourceRules: z
      .array(resourceRule("What is judged. A write is, when it fits one of these rules."))
      .min(1)
      .max(RULES_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `1 to ${RULES_MAX} rules that say which writes are judged: those that fit one of them. Required. ` +
          'Example: [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}].',
      }),
    excludeResourceRules: z.exactOptional(
      z
        .array(resourceRule("What is not judged, although a rule of resourceRules fits."))
        .max(RULES_MAX)
        .meta({
          "x-kubernetes-list-type": "atomic",
          description: `At most ${RULES_MAX} rules that take writes out of resourceRules. Absent: none.`,
        }),
    ),
  })
  .meta({ description: "Which writes are judged. Required." });
