import type { Library } from "../cel/library.ts";
import { authorizer } from "./authorizer.ts";
import { cidr } from "./cidr.ts";
import { formats } from "./formats.ts";
import { ip } from "./ip.ts";
import { lists } from "./lists.ts";
import { listsExtended } from "./lists-extended.ts";
import { quantity } from "./quantity.ts";
import { regex } from "./regex.ts";
import { semver } from "./semver.ts";
import { sets } from "./sets.ts";
import { strings } from "./strings.ts";
import { url } from "./url.ts";

/** Versions of Kubernetes whose function library is here. */
export type KubernetesVersion = "1.36";

/**
 * The functions that rules of a kube-apiserver have beside the standard ones
 * (apiserver/pkg/cel/environment/base.go). Not in it: math, base64, `cel.bind`, and `authorizer`. Functions with the
 * same name in several libraries, as `indexOf`, are one function with all the overloads.
 */
export function kubernetesLibraries(version: KubernetesVersion): readonly Library[] {
  return BY_VERSION[version];
}

const BY_VERSION: Readonly<Record<KubernetesVersion, readonly Library[]>> = {
  "1.36": [url, regex, lists, quantity, strings, sets, ip, cidr, formats, semver, listsExtended, authorizer],
};
