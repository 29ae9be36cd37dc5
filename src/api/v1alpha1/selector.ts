import * as z from "zod";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import type { DeepReadonly } from "../readonly.ts";
import { withRules } from "../rule.ts";
import { LABEL_KEY, LABEL_PREFIX_LENGTH_MAX, labelValue, matchLabels } from "./common.ts";

const EXPRESSIONS_MAX = 16;
const VALUES_MAX = 64;
/** A prefix, the slash and a name of at most 63 characters. */
const KEY_LENGTH_MAX = LABEL_PREFIX_LENGTH_MAX + 64;

const requirementFields = z.strictObject({
  key: hint(
    z
      .string()
      .min(1)
      .max(KEY_LENGTH_MAX)
      .regex(new RegExp(LABEL_KEY))
      .meta({ description: 'The key of the label. Required. Example: "fairlead.dev/tier".' }),
    {
      wanted: "a label key: an optional DNS prefix and /, then at most 63 letters, digits, -, _ and .",
      fix: "Write the key as it is in metadata.labels",
    },
  ),
  operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]).meta({
    description:
      "In: the label has one of the values. NotIn: it has none of them, or is absent. Exists, DoesNotExist: whether the " +
      "label is there, whatever its value. Required.",
  }),
  values: z.exactOptional(
    z
      .array(labelValue)
      .max(VALUES_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description: `Values for In and NotIn, 1 to ${VALUES_MAX}; absent with Exists and DoesNotExist.`,
      }),
  ),
});

const requirement = withRules(requirementFields, [
  {
    cel: "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && size(self.values) > 0)",
    holds: ({ operator, values = [] }) => (operator === "In" || operator === "NotIn") === values.length > 0,
    wanted: "values with In and NotIn, and no values with Exists and DoesNotExist",
    found: ({ operator, values = [] }) => `${show(values)} with ${operator}`,
    fix: "add the values, or remove them",
    path: "values",
    reads: ["operator", "values"],
  },
]).meta({ description: "One condition on a label." });

/** A `metav1.LabelSelector`: empty, it selects everything. */
export function labelSelector(description: string) {
  return z
    .strictObject({
      matchLabels: z.exactOptional(
        matchLabels.meta({ description: 'Labels that must be there with these values. Example: {"team": "iam"}.' }),
      ),
      matchExpressions: z.exactOptional(
        z
          .array(requirement)
          .max(EXPRESSIONS_MAX)
          .meta({
            "x-kubernetes-list-type": "atomic",
            description: `At most ${EXPRESSIONS_MAX} conditions on labels, all of which must hold.`,
          }),
      ),
    })
    .meta({ description });
}

export type LabelSelector = DeepReadonly<z.output<ReturnType<typeof labelSelector>>>;
