using Xunit;

namespace Rpal.Testing;

/// <summary>A test that needs root's rights.</summary>
internal sealed class NeedsRootFactAttribute : FactAttribute
{
    public NeedsRootFactAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root: RLIMIT_MEMLOCK.";
}
