using System.Runtime.ExceptionServices;

namespace Rpal.Memory;

/// <summary>Steps that are all done, also when one of them fails. The first failure is thrown afterwards.</summary>
internal sealed class AllSteps
{
    private ExceptionDispatchInfo? _first;

    /// <summary>Does one.</summary>
    public void Do(Action step)
    {
        try
        {
            step();
        }
        catch (Exception e)
        {
            _first ??= ExceptionDispatchInfo.Capture(e);
        }
    }

    /// <summary>Throws the first failure, if there was one.</summary>
    public void ThrowFirst() => _first?.Throw();
}
