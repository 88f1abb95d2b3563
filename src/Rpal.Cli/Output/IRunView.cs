using Rpal.Hosting;

namespace Rpal.Cli.Output;

/// <summary>Shows a family's run.</summary>
internal interface IRunView : IFamilyObserver
{
    /// <summary>All members have ended.</summary>
    void Summary(FamilyResult result);
}
