import { readFile } from "node:fs/promises";
import { RIGHTS, type Right, type Role } from "../../src/core/rights.ts";
import { NAMESPACE } from "./chart-support.ts";

/** Every request of the two ServiceAccounts. A watch is logged when it begins: it may never end. */
export const RIGHTS_AUDIT_POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [${accountOf("admission")}, ${accountOf("controller")}]
- level: None
`;

export function accountOf(role: Role): string {
  return `system:serviceaccount:${NAMESPACE}:fairlead-${role}`;
}

interface AuditEvent {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly requestURI: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface UsedRights {
  /** Requests that no right allowed. */
  readonly forbidden: readonly string[];
  /** Of {@link RIGHTS}, what nobody asked for: `controller: delete httproutes.gateway.networking.k8s.io`. */
  readonly unused: readonly string[];
}

/** Compares what the roles asked, by the audit log of the API server, with what they may. */
export async function usedRights(auditLog: string): Promise<UsedRights> {
  const lines = (await readFile(auditLog, "utf8")).split("\n").slice(0, -1);
  const events = lines.map((line) => JSON.parse(line) as AuditEvent);
  const used = new Set(events.flatMap(rightsUsedBy));
  const forbidden = events.filter((event) => event.annotations?.["authorization.k8s.io/decision"] !== "allow");
  return {
    forbidden: [...new Set(forbidden.map(({ user, verb, requestURI }) => `${user.username}: ${verb} ${requestURI}`))],
    unused: (["admission", "controller"] as const).flatMap((role) =>
      RIGHTS[role].flatMap((right) => partsOf(role, right)).filter((part) => !used.has(part)),
    ),
  };
}

/** One line for each verb on each resource, and on each name where a right is for names. */
function partsOf(role: Role, { apiGroup, resources, resourceNames = [""], verbs }: Right): readonly string[] {
  return resources.flatMap((resource) =>
    resourceNames.flatMap((name) => verbs.map((verb) => text(role, verb, { resource, apiGroup, name }))),
  );
}

function rightsUsedBy({ user, verb, objectRef, responseStatus }: AuditEvent): readonly string[] {
  const role = (["admission", "controller"] as const).find((it) => accountOf(it) === user.username);
  if (role === undefined || objectRef === undefined) return [];
  const { apiGroup = "", subresource, name = "" } = objectRef;
  const resource = subresource === undefined ? objectRef.resource : `${objectRef.resource}/${subresource}`;
  // Where server-side apply makes the object, the API server also asks for the right to create it.
  const isCreate = verb === "patch" && responseStatus?.code === 201;
  return (isCreate ? [verb, "create"] : [verb]).flatMap((it) => [
    text(role, it, { resource, apiGroup, name: "" }),
    text(role, it, { resource, apiGroup, name }),
  ]);
}

function text(
  role: Role,
  verb: string,
  { resource, apiGroup, name }: { readonly resource: string; readonly apiGroup: string; readonly name: string },
): string {
  const path = apiGroup === "" ? resource : `${resource}.${apiGroup}`;
  return name === "" ? `${role}: ${verb} ${path}` : `${role}: ${verb} ${path} ${name}`;
}
