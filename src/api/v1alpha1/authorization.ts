import * as z from "zod";
import { show } from "../problem.ts";
import { withRules } from "../rule.ts";
import { clients } from "./clients.ts";
import { METHODS, pathValue, plainPathRules } from "./routes.ts";

const ENTRIES_MAX = 16;
const PATHS_MAX = 16;

const pathFields = z.strictObject({
  type: z.exactOptional(
    z.enum(["Exact", "PathPrefix"]).meta({
      description:
        "How value is compared. PathPrefix, the default when absent: whole elements of the path, so that /users takes " +
        "/users and /users/7, not /userspace. Exact: the whole path. Case counts.",
    }),
  ),
  value: pathValue,
});

const path = withRules(pathFields, [
  ...plainPathRules,
  {
    cel: "!self.value.contains('*')",
    holds: ({ value }) => !value.includes("*"),
    wanted: "a path without *",
    found: ({ value }) => show(value),
    fix: "leave the star out: a path is a prefix unless type says Exact",
    path: "value",
    reads: ["value"],
  },
]).meta({ description: "A path of requests." });

const requestFields = z.strictObject({
  paths: z.exactOptional(
    z
      .array(path)
      .min(1)
      .max(PATHS_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `1 to ${PATHS_MAX} paths, of which one must fit. Absent: any path. ` +
          'Example: [{"value": "/users"}, {"type": "Exact", "value": "/health"}].',
      }),
  ),
  methods: z.exactOptional(
    z
      .array(z.enum(METHODS).meta({ description: "A method of HTTP." }))
      .min(1)
      .max(METHODS.length)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description: `Methods, of which one must fit: ${METHODS.join(", ")}. Absent: any method. Example: ["GET"].`,
      }),
  ),
});

const requests = withRules(requestFields, [
  {
    cel: "has(self.paths) || has(self.methods)",
    holds: (to) => to.paths !== undefined || to.methods !== undefined,
    wanted: "at least one of paths and methods",
    found: () => "none of them",
    fix: "add the requests that are meant, or remove to to mean all of them",
  },
]).meta({
  description: "The requests: one of paths and one of methods must fit, where given. Absent: every request.",
});

const entryFields = z.strictObject({ from: z.exactOptional(clients), to: z.exactOptional(requests) });

const entry = withRules(entryFields, [
  {
    cel: "has(self.from) || has(self.to)",
    holds: ({ from, to }) => from !== undefined || to !== undefined,
    wanted: "at least one of from and to",
    found: () => "none of them",
    fix: "say whose or which requests are meant; remove the section to let everybody do everything",
  },
]).meta({ description: "Requests of some clients: both from and to must fit, where given." });

function entries(description: string) {
  return z.array(entry).min(1).max(ENTRIES_MAX).meta({ "x-kubernetes-list-type": "atomic", description });
}

const authorizationFields = z.strictObject({
  allow: z.exactOptional(
    entries(
      `1 to ${ENTRIES_MAX} entries. Once there is one, a request is refused that fits none of them. Absent: what deny ` +
        'does not fit is allowed. Example: [{"from": {"namespaces": ["shop"]}, "to": {"methods": ["GET"]}}].',
    ),
  ),
  deny: z.exactOptional(
    entries(
      `1 to ${ENTRIES_MAX} entries. A request that fits one of them is refused, whatever allow says. Istio only. ` +
        'Absent: nothing is denied by itself. Example: [{"to": {"paths": [{"value": "/admin"}]}}].',
    ),
  ),
});

/** `spec.authorization`. */
export const authorization = withRules(authorizationFields, [
  {
    cel: "has(self.allow) || has(self.deny)",
    holds: ({ allow, deny }) => allow !== undefined || deny !== undefined,
    wanted: "at least one of allow and deny",
    found: () => "none of them",
    fix: "add whom the targets are to answer, or remove authorization",
  },
]).meta({
  description:
    "Who may send which requests to the Pods of the targets; others are refused with 403. Targets must be Services. " +
    "Writing it needs the verb change-authorization on the policy. At least one of allow and deny is needed. Absent: " +
    'nothing is changed. Example: {"allow": [{"from": {"serviceAccounts": [{"name": "web", "namespace": "shop"}]}}]}.',
});
