using Rpal.Internal;

namespace Rpal;

/// <summary>Whether this process can make and take calls.</summary>
public enum FamilyMembership
{
    /// <summary>It is a member of a family.</summary>
    Member,

    /// <summary>It was not started by <c>rpal run</c>: it has its address space for itself.</summary>
    NotInFamily,

    /// <summary>It is a member, but built with another version of Rpal's memory layout than the host.</summary>
    VersionMismatch,
}

/// <summary>This process's place in its family: the processes that share one address space.</summary>
public static class RpalFamily
{
    /// <summary>Whether this process is a member. Never throws, costs nothing after the first time.</summary>
    public static FamilyMembership Membership => MemberRuntime.Membership;

    /// <summary>The membership in words: what is wrong and what to do, or the member's number and process.</summary>
    public static string Explanation => MemberRuntime.Explain();

    /// <summary>Whether the time of calls is accounted now: <c>rpal run --accounting</c>, or <c>"accounting": true</c> in the family file. False outside a family.</summary>
    public static unsafe bool AccountsTime => Membership == FamilyMembership.Member && Volatile.Read(ref MemberRuntime.Header->Accounting) != 0;

    /// <summary>Subscribes to the states of a service: the present one first, then each change, until cancelled.</summary>
    /// <param name="service">Its name.</param>
    /// <param name="cancellationToken">Ends the subscription.</param>
    /// <returns>
    /// States in order. One that lasted only shortly may be missing, the last one never. A service that was registered anew between two looks is
    /// <see cref="ServiceStatus.Gone"/> first. Each enumeration is a subscription of its own.
    /// </returns>
    /// <exception cref="ArgumentException">The name is empty or too long, see <see cref="RpalService.NameBytesLimit"/>.</exception>
    /// <exception cref="RpalException">This process is in no family, or in one of another version; see <see cref="RpalError"/>.</exception>
    /// <exception cref="OperationCanceledException">From the enumeration, when it is cancelled.</exception>
    /// <example><code>
    /// await foreach (ServiceChange change in RpalFamily.WatchAsync("adder", cancellationToken))
    /// {
    ///     ready = change.Status == ServiceStatus.Enabled;
    /// }
    /// </code></example>
    public static IAsyncEnumerable<ServiceChange> WatchAsync(string service, CancellationToken cancellationToken = default)
    {
        ServiceName.Check(service, nameof(service));
        MemberRuntime.Attach();
        return ServiceWatch.Run(service, cancellationToken);
    }
}
