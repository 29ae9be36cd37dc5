import * as z from "zod";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import { withRules } from "../rule.ts";
import { isCidr } from "./cidr.ts";
import { objectName } from "./common.ts";

/** Of each list. */
const CLIENTS_MAX = 16;
const CIDR_LENGTH_MAX = 43;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const NAMESPACE_LENGTH_MAX = 63;

function namespaceName(description: string): z.ZodString {
  const name = z.string().min(1).max(NAMESPACE_LENGTH_MAX).regex(NAMESPACE).meta({ description });
  return hint(name, {
    wanted: "the name of a namespace: lower-case letters, digits and -, 1 to 63 characters",
    fix: "Write its name as kubectl get namespaces shows it",
  });
}

const serviceAccount = z
  .strictObject({
    name: objectName('Name of the ServiceAccount. Required. Example: "web".', "Write its metadata.name"),
    namespace: namespaceName(
      'Its namespace; it may be another one than that of the policy. Required. Example: "shop".',
    ),
  })
  .meta({ description: "The ServiceAccount that a client runs as." });

/** ServiceAccounts, by name and namespace. */
export const serviceAccounts = z
  .array(serviceAccount)
  .min(1)
  .max(CLIENTS_MAX)
  .meta({
    "x-kubernetes-list-type": "atomic",
    description:
      `1 to ${CLIENTS_MAX} ServiceAccounts; a client fits when it runs as one of them, in whatever trust domain. ` +
      'Example: [{"name": "web", "namespace": "shop"}].',
  });

const cidr = withRules(z.string().max(CIDR_LENGTH_MAX).meta({ description: "A network of IPv4 or IPv6 addresses." }), [
  {
    cel: "isCIDR(self) && !(self.contains(':') && self.contains('.'))",
    holds: isCidr,
    wanted: 'a network such as "10.0.0.0/8" or "fd00::/8"',
    found: show,
    fix: "write the address, a slash and the length of the prefix; for one address /32, or /128 for IPv6",
  },
]);

const clientFields = z.strictObject({
  serviceAccounts: z.exactOptional(serviceAccounts),
  namespaces: z.exactOptional(
    z
      .array(namespaceName("Name of a namespace."))
      .min(1)
      .max(CLIENTS_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description: `1 to ${CLIENTS_MAX} namespaces; a client fits when it runs in one of them. Example: ["shop"].`,
      }),
  ),
  cidrs: z.exactOptional(
    z
      .array(cidr)
      .min(1)
      .max(CLIENTS_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `1 to ${CLIENTS_MAX} networks; a client fits when its address, as the Pod sees it, is in one of them. ` +
          'Example: ["10.0.0.0/8"].',
      }),
  ),
});

/** Clients, told apart by who and where they are. */
export const clients = withRules(clientFields, [
  {
    cel: "has(self.serviceAccounts) || has(self.namespaces) || has(self.cidrs)",
    holds: (from) => from.serviceAccounts !== undefined || from.namespaces !== undefined || from.cidrs !== undefined,
    wanted: "at least one of serviceAccounts, namespaces and cidrs",
    found: () => "none of them",
    fix: "add the clients that are meant, or remove from to mean all of them",
  },
]).meta({
  description:
    "The clients. Of serviceAccounts and namespaces one must fit, where any is given, and one of cidrs, where any is " +
    "given. At least one of the three is needed. Absent: every client, also those without an identity in the mesh.",
});
