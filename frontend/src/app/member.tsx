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

export const useMayEdit = (): boolean => mayEdit(useMember().role);

/** Why the page offers less to who may not edit. */
export const useLookOnly = (): string | null => {
  const { role } = useMember();
  if (mayEdit(role)) return null;
  return `You are a ${role} of this workspace: you can look at everything, but not change it. Its administrator can make you an editor.`;
};
