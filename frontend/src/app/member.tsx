import { createContext, type ReactNode, useContext } from "react";
import type { Session } from "../api/types";

export type Role = Session["workspaces"][number]["role"];

interface Member {
  session: Session;
  /** The workspace that the page shows. */
  workspace: string;
  role: Role;
  switchTo: (workspace: string) => void;
}

const MemberContext = createContext<Member | null>(null);

export function MemberProvider({ member, children }: { member: Member; children: ReactNode }) {
  return <MemberContext.Provider value={member}>{children}</MemberContext.Provider>;
}

export function useMember(): Member {
  const member = useContext(MemberContext);
  if (!member) throw new Error("useMember outside of MemberProvider");
  return member;
}

const RANKS: Role[] = ["viewer", "reviewer", "editor", "admin", "owner"];

/** Whether this role may upload, paint, start, cancel and delete. The studio decides; this only spares a refusal. */
export const mayEdit = (role: Role): boolean => RANKS.indexOf(role) >= RANKS.indexOf("editor");

/** Whether this role may see and change who belongs to the workspace. */
export const mayManage = (role: Role): boolean => RANKS.indexOf(role) >= RANKS.indexOf("admin");

/** "a viewer", "an editor". */
export const aRole = (role: Role): string => (/^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`);

/** The roles that one of this role may give: up to its own, the lowest first. */
export const rolesUpTo = (role: Role): Role[] => RANKS.slice(0, RANKS.indexOf(role) + 1);

export const useMayEdit = (): boolean => mayEdit(useMember().role);

/** Why the page offers less to who may not edit. */
export const useLookOnly = (): string | null => {
  const { role } = useMember();
  if (mayEdit(role)) return null;
  return `You are a ${role} of this workspace: you can look at everything, but not change it. Its administrator can make you an editor.`;
};
