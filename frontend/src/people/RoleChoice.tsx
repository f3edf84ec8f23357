import type { Role } from "../app/member";

interface Props {
  id?: string;
  /** Read aloud, where no label of its own stands beside it. */
  label?: string;
  value: Role;
  roles: Role[];
  disabled?: boolean;
  onChange: (role: Role) => void;
}

export const RoleChoice = ({ id, label, value, roles, disabled, onChange }: Props) => (
  <select
    id={id}
    className="input select"
    aria-label={label}
    value={value}
    disabled={disabled}
    onChange={(event) => onChange(event.target.value as Role)}
  >
    {roles.map((role) => (
      <option key={role} value={role}>
        {role}
      </option>
    ))}
  </select>
);
