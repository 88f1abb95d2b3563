namespace Rpal;

/// <summary>The handler threw. Its exception stayed in its process; this is what it said.</summary>
public sealed class RemoteCallException : Exception
{
    internal RemoteCallException(string service, string remoteType, string remoteMessage, string remoteStack)
        : base($"{service}: {remoteType}: {remoteMessage}")
    {
        RemoteType = remoteType;
        RemoteMessage = remoteMessage;
        RemoteStack = remoteStack;
    }

    /// <summary>Full name of the exception's type in the service's process.</summary>
    public string RemoteType { get; }

    /// <summary>Its message.</summary>
    public string RemoteMessage { get; }

    /// <summary>Its stack, as text. Type, message and stack together are cut at 8,192 bytes of UTF-8.</summary>
    public string RemoteStack { get; }

    /// <summary>This exception and the remote stack.</summary>
    public override string ToString() => $"{base.ToString()}{Environment.NewLine}--- in the service's process ---{Environment.NewLine}{RemoteStack}";
}
