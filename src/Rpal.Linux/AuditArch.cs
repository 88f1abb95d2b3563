namespace Rpal.Linux;

/// <summary>seccomp(2): AUDIT_ARCH_* (linux/audit.h).</summary>
internal static class AuditArch
{
    public const uint X86_64 = 0xc000003e;
}
