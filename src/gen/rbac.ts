import { type Right, RIGHTS, type Role, ROLES } from "../core/rights.ts";
import { NAMESPACE, renderTemplate, type TemplatePart } from "./chart.ts";

const GROUP = "rbac.authorization.k8s.io";
/** Where cert-manager keeps the certificates, the controller has no right to them. */
const SELF_MANAGED = "not .Values.certManager.enabled";

/** ClusterRoles, Roles and their bindings, from what the code of each role calls. */
export function renderChartRbac(): string {
  return renderTemplate(ROLES.flatMap(partsOf));
}

function partsOf(role: Role): readonly TemplatePart[] {
  const name = `fairlead-${role}`;
  const grants = [
    { kind: "ClusterRole", name, rights: RIGHTS[role].filter((right) => right.scope === "Cluster") },
    { kind: "Role", name, rights: RIGHTS[role].filter((right) => isOwn(right) && !right.selfManagedOnly) },
    {
      kind: "Role",
      name: `${name}-certificates`,
      rights: RIGHTS[role].filter((right) => isOwn(right) && right.selfManagedOnly),
      condition: SELF_MANAGED,
    },
  ];
  return grants
    .filter(({ rights }) => rights.length > 0)
    .map(({ condition, ...grant }) => ({ documents: roleAndBinding({ ...grant, account: name }), condition }));
}

function isOwn(right: Right): boolean {
  return right.scope === "OwnNamespace";
}

interface Grant {
  readonly kind: string;
  readonly name: string;
  readonly account: string;
  readonly rights: readonly Right[];
}

function roleAndBinding({ kind, name, account, rights }: Grant): readonly object[] {
  const metadata = kind === "Role" ? { name, namespace: NAMESPACE } : { name };
  return [
    { apiVersion: `${GROUP}/v1`, kind, metadata, rules: rights.map(ruleOf) },
    {
      apiVersion: `${GROUP}/v1`,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: GROUP, kind, name },
      subjects: [{ kind: "ServiceAccount", name: account, namespace: NAMESPACE }],
    },
  ];
}

function ruleOf({ apiGroup, resources, resourceNames, verbs }: Right): object {
  return { apiGroups: [apiGroup], resources, ...(resourceNames && { resourceNames }), verbs };
}
